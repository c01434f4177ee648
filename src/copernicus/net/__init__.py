"""The carrier: keys, certificates, bundles, TLS, calls and file transfers."""
