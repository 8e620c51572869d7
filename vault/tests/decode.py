#!/usr/bin/env python3
"""Reads a vault file with key material: decode.py FILE KEY-IN-HEX.

Written from docs/vault-format.md, with Python's standard library alone, as a
second opinion on that page. Not for use with real secrets: it shows them.
"""
import hashlib, hmac, struct, sys


def chacha_block(key, counter, nonce, rounds_only=False):
    """RFC 8439 section 2.3; with rounds_only the core of HChaCha20."""
    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    s = start[:]

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] ^= s[x]
            s[z] = ((s[z] << turn) | (s[z] >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(10):
        for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                  (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*q)
    if rounds_only:
        return struct.pack("<8I", *s[:4], *s[12:])
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(s, start)))


def poly1305(key, message):
    """RFC 8439 section 2.5."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at:at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(key[16:], "little")) & ((1 << 128) - 1)).to_bytes(16, "little")


def open_sealed(key, nonce, context, sealed, tag):
    """XChaCha20-Poly1305, draft-irtf-cfrg-xchacha-03."""
    counter, rest = struct.unpack("<I12s", nonce[:16])
    key, nonce = chacha_block(key, counter, rest, rounds_only=True), bytes(4) + nonce[16:]
    pad = lambda text: text + bytes(-len(text) % 16)
    signed = pad(context) + pad(sealed) + struct.pack("<QQ", len(context), len(sealed))
    if not hmac.compare_digest(tag, poly1305(chacha_block(key, 0, nonce)[:32], signed)):
        return None
    stream = b"".join(chacha_block(key, 1 + n, nonce) for n in range((len(sealed) + 63) // 64))
    return bytes(a ^ b for a, b in zip(sealed, stream))


class Fields:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), "cut short"
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, size):
        return int.from_bytes(self.take(size), "little")


def main(path, material):
    file = open(path, "rb").read()
    assert hashlib.sha256(file[:-32]).digest() == file[-32:], "checksum"
    f = Fields(file[:-32])
    assert f.take(8) == b"SRVAULT\n" and f.number(2) == 1, "magic, version"
    vault_id, generation, count = f.take(16), f.number(8), f.number(1)
    root = None
    for _ in range(count):
        start = f.at
        kind, _label = f.number(1), f.take(f.number(1))
        _cost = f.take(12) if kind == 1 else None
        salt = f.take(32)
        context = vault_id + f.data[start:f.at]
        nonce, wrapped, tag = f.take(24), f.take(32), f.take(16)
        if kind == 2 and root is None:
            pseudorandom = hmac.digest(salt, material, "sha256")
            key = hmac.digest(pseudorandom, b"strongroom vault 1 key slot\1", "sha256")
            root = open_sealed(key, nonce, context, wrapped, tag)
    nonce, length = f.take(24), f.number(4)
    context = f.data[:f.at]
    sealed, tag = f.take(length), f.take(16)
    assert f.at == len(f.data) and root, "trailing bytes, or wrong key"
    body = open_sealed(root, nonce, context, sealed, tag)
    assert body and length % 4096 == 0, "damaged"
    b = Fields(body)
    for _ in range(b.number(4)):
        name, state, forced = b.take(b.number(1)).decode(), b.number(1), b.number(1)
        version, created, rotated = b.number(8), b.number(8), b.number(8)
        last = "revoked %d" % b.number(8) if state else "active " + b.take(b.number(4)).hex()
        print(name, version, created, rotated, forced, last)
    assert not any(body[b.at:]), "padding"


main(sys.argv[1], bytes.fromhex(sys.argv[2]))
