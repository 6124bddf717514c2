package tool

// Content is a part of an answer that is not JSON: an [Image], a [Resource] or a [Link].
type Content interface{ isContent() }

// Image is a picture.
type Image struct {
	MIMEType string
	Data     []byte
}

// Resource is a document that is part of the answer: its Text, or its Data.
type Resource struct {
	URI, MIMEType string
	Text          string
	Data          []byte
}

// Link names a document that a client can read.
type Link struct{ URI, Name, Title, MIMEType string }

func (Image) isContent()    {}
func (Resource) isContent() {}
func (Link) isContent()     {}

// Attachments is embedded by the answer of a tool that may answer with content beside its
// JSON. MCP clients get no schema of such an answer.
type Attachments struct{ content []Content }

// Attach adds content to the answer.
func (a *Attachments) Attach(c Content) { a.content = append(a.content, c) }

func (a *Attachments) attached() []Content { return a.content }

// attachmentsOf returns the content of an answer beside its JSON. can says that an answer of
// this type may have some.
func attachmentsOf(out any) (content []Content, can bool) {
	a, can := out.(interface{ attached() []Content })
	if !can {
		return nil, false
	}
	return a.attached(), true
}
