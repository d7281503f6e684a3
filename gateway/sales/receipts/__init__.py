"""Receipts and provisional slips: one document, made only from what is stored, shown as text or as a page."""
