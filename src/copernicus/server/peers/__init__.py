"""Federation of servers."""
