"""A bundle from its files: manifest, checksums, signature, one reproducible tar. The same files give the same bytes.

What a bundle must look like is checked by `ansible/plugins/modules/bundle_facts.py`, on the server, before anything of it is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

Content = bytes | Path


def pack(out: Path, files: Mapping[str, Content], manifest: Mapping[str, Any], key: Ed25519PrivateKey | None) -> str:
    """Write the bundle; its SHA-256. `files`: path below the top folder → content. Without a key there is no signature in it."""
    whole = {**files, "manifest.json": manifest_bytes({**manifest, "files": len(files) + 1})}
    sums = checksums(whole)
    members = {**whole, "SHA256SUMS": sums}
    if key is not None:
        members["SHA256SUMS.sig"] = key.sign(sums)
    top = f"appliance-{manifest['version']}"
    return write_tar(out, sorted((f"{top}/{name}", content) for name, content in members.items()), manifest["created"])


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it lies in the bundle."""
    return (json.dumps(manifest, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def checksums(files: Mapping[str, Content]) -> bytes:
    """SHA256SUMS, as sha256sum writes and reads it."""
    return "".join(f"{digest(files[name])}  {name}\n" for name in sorted(files)).encode("ascii")


def digest(content: Content) -> str:
    """SHA-256, hexadecimal."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tar(out: Path, members: Iterable[tuple[str, Content]], epoch: int) -> str:
    """A plain ustar of regular files in the order given, owned by nobody in particular; its SHA-256."""
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mtime, info.mode = epoch, 0o644
            info.size = len(content) if isinstance(content, bytes) else content.stat().st_size
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
                tar.addfile(info, file)
    return digest(out)


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key in this PEM file; raises ValueError or TypeError when it holds none."""
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path}: a private key, but not an Ed25519 one")
    return key


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """The public key that the role wants as `release.pub`."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def make_keys(private: Path, public: Path) -> None:
    """A new pair for those who build their own bundles; refuses to replace a key."""
    key = Ed25519PrivateKey.generate()
    private.parent.mkdir(parents=True, exist_ok=True)
    public.parent.mkdir(parents=True, exist_ok=True)
    private.touch(0o600, exist_ok=False)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(public_pem(key))
