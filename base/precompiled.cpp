// Nothing: the target whose precompiled headers most folders share needs one source.
