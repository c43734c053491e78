// Nothing: the target whose precompiled headers all test programs share needs one source.
