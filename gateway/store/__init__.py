"""What is kept beyond a process: the second of the two doors that lead out."""
