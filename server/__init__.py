"""The department side: takes batches, gives receipts, keeps, shows and logs."""
