"""Storages that are not ours: folders of the operator, S3, Google. Each is an ``ObjectStore``; none knows another."""
