"""Projects as archives: written while they run, and checked byte by byte before they become projects again."""
