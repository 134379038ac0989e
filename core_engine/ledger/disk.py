"""The disk under a ledger: how much room it has left, and whether it is one that several machines share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from core_engine.errors import LedgerError

# Below this nothing is sent any more: what is in flight then still finds room for its replies.
LEAST_ROOM = 32 * 1024 * 1024

_NETWORK = frozenset(
    [
        "9p",
        "afs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    ]
)
_MOUNTS = Path("/proc/self/mounts")


def free_bytes(folder: Path) -> int:
    """What the disk of a folder has left for us; of its nearest parent, where the folder isn't there yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def look_for_room(folder: Path) -> None:
    """Raises LedgerError where there is too little to begin anything new."""
    try:
        free = free_bytes(folder)
    except OSError:
        return  # the next write will say what is wrong
    if free < LEAST_ROOM:
        raise LedgerError(
            f"the disk of {folder} has {free / 2**20:.0f} MB left, too little to keep replies: nothing more is sent. Make "
            "room, then run the same command again: what was answered is in the ledger"
        )


def network_disk(folder: Path, mounts: Path = _MOUNTS) -> str:
    """The kind of network file system that a folder is on, '' where it is on none or the system doesn't say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    where = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind if kind in _NETWORK else ""
