"""Lists, reads and inspects the source's files, in S3 or in folders."""
