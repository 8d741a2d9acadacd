"""Another process with the write lock of a SQLite file: `python lock_holder.py PATH` says `held`, and lets go when
its standard input ends."""

import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
connection.close()
