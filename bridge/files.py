"""Files that are read again whenever they change: credentials, certificates, keys, passwords, rules."""

import os
import stat
from collections.abc import Callable, Mapping
from time import time

from bridge.errors import SettingError
from bridge.log import Log

MAX_FILE = 1 << 20  # bytes; no file that a setting names is larger
SETTLED = 2.0  # seconds; a file can change twice within one tick of the clock, so a younger time does not prove that it is the same


class FollowedFiles:
    """Files that are used together. They are looked at again and again; new contents are tried until they can be used.

    Until then the old contents stay in use. Times and sizes only tell when to read the contents; the contents decide.
    """

    def __init__(self, what: str, files: Mapping[str, str], use: Callable[[dict[str, bytes]], None], log: Log) -> None:
        """Nothing is read yet.

        `what` is the first part of the log's events, `<what>_read` and `<what>_unusable`. `files` maps settings (BRIDGE_…) to paths,
        "" for none. use(contents) gets each file's bytes by its setting; it raises SettingError when it can't use them.
        """
        self._what, self._use, self._log = what, use, log
        self._files = {setting: path for setting, path in files.items() if path}
        self._versions: list[tuple[int, ...]] = []  # of the contents in use; empty when they have to be read again in any case
        self._contents: int | None = None  # a hash of the contents in use
        self._complaints: set[str] = set()  # since the last success

    def read(self) -> bool:
        """Read the files unless they are the ones in use, and tell whether new contents are in use now. Raises SettingError.

        At the start this may be a pipe (a shell's `<(…)`), which is read once.
        """
        if not self._files:
            return False
        versions, settled = self._look()
        if versions == self._versions:
            return False
        contents = {setting: content(setting, path) for setting, path in self._files.items()}
        digest = hash(tuple(contents.values()))
        changed = digest != self._contents
        if changed:
            self._use(contents)
        self._contents = digest
        self._versions = versions if settled else []
        self._complaints.clear()
        return changed

    def follow(self) -> None:
        """Read the files again if they have changed, and log it. Contents that can't be used are tried at each call, and logged once."""
        try:
            if self.read():
                self._log.info(f"{self._what}_read", explanation=f"{' and '.join(self._files)} changed; the new content is in use")
        except SettingError as error:
            complaint = str(error)
            if complaint not in self._complaints:
                self._complaints.add(complaint)
                self._log.error(f"{self._what}_unusable", explanation=complaint)

    def _look(self) -> tuple[list[tuple[int, ...]], bool]:
        """Return for each file what differs in its next version, and whether that can be relied on. Raises SettingError."""
        versions: list[tuple[int, ...]] = []
        settled, young = True, time() - SETTLED
        for setting, path in self._files.items():
            try:
                status = os.stat(path)
            except OSError as error:
                raise _unreadable(setting, path, error) from None
            if stat.S_ISREG(status.st_mode):
                versions.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
                settled = settled and status.st_ctime <= young
            else:  # a pipe's times change with each read
                versions.append((status.st_dev, status.st_ino))
        return versions, settled


def content(setting: str, path: str) -> bytes:
    """Return the bytes of a file that a setting names. Raises SettingError, also for more than MAX_FILE."""
    try:
        with open(path, "rb") as file:
            found = file.read(MAX_FILE + 1)
    except OSError as error:
        raise _unreadable(setting, path, error) from None
    if len(found) > MAX_FILE:
        raise SettingError(setting, f"{path} has more than {MAX_FILE} bytes")
    return found


def _unreadable(setting: str, path: str, error: OSError) -> SettingError:
    return SettingError(setting, f"{path} can't be read: {error.strerror}")
