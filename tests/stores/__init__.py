"""Object stores: a real S3 server on loopback, and the job in its buckets."""
