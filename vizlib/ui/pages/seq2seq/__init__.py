"""Parts of the page Seq2seq."""
