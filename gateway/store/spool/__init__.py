"""What has begun and ended, in files of this machine, until it stands in SQL.

A process writes to segments of its own, which are mapped into memory: what it has written is the kernel's from then on,
and outlives the process however that dies. (It does not outlive the machine's power.) Segments are allocated before
they are needed, so that a full disk is an error at a moment of our choice.
"""

from gateway.store.spool.adopting import Adopted as Adopted
from gateway.store.spool.adopting import adopt as adopt
from gateway.store.spool.reading import Batch as Batch
from gateway.store.spool.reading import Reader as Reader
from gateway.store.spool.spool import Spool as Spool
from gateway.store.spool.spool import SpoolFull as SpoolFull
