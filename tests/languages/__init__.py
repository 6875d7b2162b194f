"""Other people's test suites of languages and programs."""
