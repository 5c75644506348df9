"""Models as a folder or a repository has them: weights, config and how pictures are prepared."""
