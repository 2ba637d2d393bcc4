"""What Node-RED's plugins and the launcher call beside the API (instance protocol §3.1, §3.2)."""
