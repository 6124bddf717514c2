package pve

// PVE hands bytes to a guest's agent, and on from it, as a text in which each character is the
// byte of that number: what is written as "é" arrives as one byte, and a guest's UTF-8 comes as
// two characters (recorded with file-write and file-read of PVE 8.4 and 9.2; its source does the
// same with what commands read and write).

// agentText is the text that makes PVE hand on these bytes.
func agentText(data string) string {
	out := make([]rune, 0, len(data))
	for _, b := range []byte(data) {
		out = append(out, rune(b))
	}
	return string(out)
}

// fromAgentText returns the bytes of a text that PVE hands on. A text with a character that is
// no byte is none of these, and returned as it is.
func fromAgentText(text string) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return []byte(text)
		}
		out = append(out, byte(r))
	}
	return out
}
