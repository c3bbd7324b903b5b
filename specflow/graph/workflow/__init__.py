"""DECLARED: workflows as steps whose references to each other are the data flow."""
