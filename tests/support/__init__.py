"""What tests share: a KDC, scaling, and the check for missing parts."""
