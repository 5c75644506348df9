"""The parts of each page, one folder a page; no page imports another's. The scripts are in the top-level folder ``pages``."""
