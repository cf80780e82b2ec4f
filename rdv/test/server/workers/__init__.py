"""
Workers: what passes between them, and what starts them.
"""
