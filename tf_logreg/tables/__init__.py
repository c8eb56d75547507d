"""Tables of named columns: CSV and Parquet files and data frames, and what their columns mean."""
