"""The little of the DNS wire format that the lab needs: names, key tags, DS, SOA queries."""

import base64
import hashlib
import socket
import struct


def name_to_wire(name):
    """Canonical (lower case) wire form of a presentation name without escapes."""
    out = b""
    for label in name.rstrip(".").lower().split("."):
        if label:
            out += bytes([len(label)]) + label.encode("ascii")
    return out + b"\0"


def dnskey_rdata(text):
    """RDATA of a DNSKEY given as 'FLAGS PROTOCOL ALGORITHM BASE64…'."""
    flags, protocol, algorithm, key = text.split(None, 3)
    return struct.pack("!HBB", int(flags), int(protocol), int(algorithm)) + \
        base64.b64decode("".join(key.split()))


def key_tag(rdata):
    """RFC 4034 appendix B."""
    total = sum(byte << 8 if i % 2 == 0 else byte for i, byte in enumerate(rdata))
    return (total + (total >> 16)) & 0xFFFF


def ds_rdata(owner, dnskey):
    """Presentation form of the SHA-256 DS for `owner`."""
    rdata = dnskey_rdata(dnskey)
    digest = hashlib.sha256(name_to_wire(owner) + rdata).hexdigest()
    return f"{key_tag(rdata)} {rdata[3]} 2 {digest}"


def read_question(packet):
    """(name, type, offset behind the question) of a query; ValueError when it is not one."""
    if len(packet) < 12 or struct.unpack_from("!H", packet, 4)[0] != 1:
        raise ValueError("not one question")
    labels, at = [], 12
    while packet[at]:
        size = packet[at]
        labels.append(packet[at + 1:at + 1 + size].decode("latin-1"))
        at += 1 + size
    return ".".join(labels).lower(), struct.unpack_from("!H", packet, at + 1)[0], at + 5


def soa_serial(server, zone, timeout=0.5, recursive=False):
    """The serial that `server` has for `zone`; None when it does not say."""
    query = struct.pack("!HHHHHH", 0x1ab, 0x100 if recursive else 0, 1, 0, 0, 0) + \
        name_to_wire(zone) + b"\0\x06\0\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect((server, 53))          # so that nobody there is told at once
            sock.send(query)
            answer = sock.recv(4096)
        except OSError:
            return None
    count = struct.unpack_from("!H", answer, 6)[0]
    if answer[3] & 15 or not count:
        return None
    at = _skip_name(answer, len(query))
    kind = struct.unpack_from("!H", answer, at)[0]
    size = struct.unpack_from("!H", answer, at + 8)[0]
    if kind != 6:
        return None
    end = at + 10 + size
    return struct.unpack_from("!I", answer, end - 20)[0]


def _skip_name(packet, at):
    while packet[at]:
        if packet[at] >= 0xC0:
            return at + 2
        at += 1 + packet[at]
    return at + 1
