"""The only place that knows a vendor's SDK: one adapter a file, and the chain that retries them."""
