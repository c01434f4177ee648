"""The carrier: keys, certificates, bundles, TLS contexts, Caller."""
