"""What Weir costs beside a plain Node-RED of the same versions, measured in the same run."""
