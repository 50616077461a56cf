"""What both ends of jobdeck share: records, states and the channels, without any input or output."""
