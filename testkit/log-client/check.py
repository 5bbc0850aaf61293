"""Checks a ledger with aics-tlog, and its ML-DSA-44 signatures with `cryptography`.

See `check` in src/aics_tlog.rs for the folder that the argument names. Prints a report as JSON.
"""

import base64
import json
import sys
from pathlib import Path

from aics_tlog import (
    FileSystemTileReader,
    MerkleTree,
    audit_tiles,
    leaf_hash,
    parse_note,
    parse_vkey,
    tree_root_from_tiles,
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
)
from aics_tlog.checkpoint import parse_checkpoint
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

COSIGNATURE_ML_DSA_44 = 0x06


class Ledger:
    def __init__(self, folder: Path):
        keys = [parse_vkey(line) for line in (folder / "vkeys").read_text().splitlines()]
        self.key = keys[0]
        self.strong_keys = [key for key in keys if key.key_type == COSIGNATURE_ML_DSA_44]
        self.tree = MerkleTree((folder / "lines").read_bytes().splitlines())
        self.strong = 0

    def checkpoint(self, text: str):
        """A signed note of this ledger whose root is that of the lines."""
        note = parse_note(text)
        result = verify_checkpoint(note, self.key, expected_origin=self.key.name)
        assert result.ok, result.error
        checkpoint = parse_checkpoint(note.text)
        assert self.tree.root(checkpoint.size) == checkpoint.root, f"root at {checkpoint.size}"
        for signature in note.signatures:
            for key in self.strong_keys:
                if (signature.name, signature.key_id) == (key.name, key.key_id):
                    verify_ml_dsa(key, signature.signature, checkpoint)
                    self.strong += 1
        return checkpoint


def verify_ml_dsa(key, signature: bytes, checkpoint):
    """c2sp.org/tlog-cosignature: timestamp, then a signature over `cosigned_message`."""

    def name(text: str) -> bytes:
        encoded = text.encode()
        return bytes([len(encoded)]) + encoded

    message = b"".join(
        [
            b"subtree/v1\n\0",
            name(key.name),
            signature[:8],
            name(checkpoint.origin),
            (0).to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        ]
    )
    MLDSA44PublicKey.from_public_bytes(key.public_key).verify(signature[8:], message)


def check_proof(ledger: Ledger, text: str):
    """c2sp.org/tlog-proof"""
    head, note = text.split("\n\n", 1)
    header, extra, index, *hashes = head.split("\n")
    assert header == "c2sp.org/tlog-proof@v1", header
    extra_word, line = extra.split(" ")
    index_word, index = index.split(" ")
    assert (extra_word, index_word) == ("extra", "index"), head
    line = base64.b64decode(line, validate=True)
    hashes = [base64.b64decode(hash, validate=True) for hash in hashes]
    checkpoint = ledger.checkpoint(note)
    index = int(index)
    assert hashes == ledger.tree.inclusion_proof(index, checkpoint.size), "another way to the root"
    assert verify_inclusion(leaf_hash(line), index, checkpoint.size, hashes, checkpoint.root), "proof"
    assert line == ledger.tree.leaf_data(index), "another line"


def check_consistency(ledger: Ledger, text: str):
    """c2sp.org/tlog-witness, the body of add-checkpoint"""
    head, note = text.split("\n\n", 1)
    old, *hashes = head.split("\n")
    old_word, old = old.split(" ")
    assert old_word == "old", head
    old = int(old)
    hashes = [base64.b64decode(hash, validate=True) for hash in hashes]
    checkpoint = ledger.checkpoint(note)
    old_root = ledger.tree.root(old)
    assert verify_consistency(old, checkpoint.size, old_root, checkpoint.root, hashes), "consistency"


def check_tiles(ledger: Ledger, folder: Path) -> int:
    checkpoint = ledger.checkpoint((folder / "checkpoint").read_text())
    reader = FileSystemTileReader(folder)
    assert tree_root_from_tiles(reader, checkpoint.size) == checkpoint.root, "root of the tiles"
    report = audit_tiles(reader, checkpoint.size, checkpoint.root)
    # Each file is one of those that were checked.
    there = sum(1 for path in (folder / "tile").rglob("*") if path.is_file())
    assert there == report.tiles + report.bundles, f"{there} files, {report}"
    return there


def main(folder: Path):
    ledger = Ledger(folder)

    def texts(kind: str):
        return [path.read_text() for path in sorted((folder / kind).glob("*"))]

    checkpoints = [ledger.checkpoint(text) for text in texts("checkpoints")]
    strong = ledger.strong
    proofs = texts("proofs")
    for text in proofs:
        check_proof(ledger, text)
    consistency = texts("consistency")
    for text in consistency:
        check_consistency(ledger, text)
    has_tiles = (folder / "tiles").is_dir()
    report = {
        "checkpoints": [(point.size, base64.b64encode(point.root).decode()) for point in checkpoints],
        "strong": strong,
        "proofs": len(proofs),
        "consistency": len(consistency),
        "tiles": check_tiles(ledger, folder / "tiles") if has_tiles else 0,
    }
    print(json.dumps(report))


main(Path(sys.argv[1]))
