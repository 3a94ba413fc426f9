package p2p

const (
	// HeaderSizeMax bounds Message.Header, in bytes.
	HeaderSizeMax = 1 << 20
	// PayloadSizeMax bounds Message.Payload, in bytes.
	PayloadSizeMax = 8 << 20
	// ErrorTextMax bounds the text of a RemoteError, in bytes; longer texts are cut.
	ErrorTextMax = 512
)

// Message is a request or a response: a small header that the two ends agree on (protobuf), and
// raw bytes that nobody on the way looks at.
//
// A message that arrives lives in buffers of the transport. Its receiver calls Release when it
// has finished with Header and Payload, and must not touch them afterwards; a message that is
// never released costs memory until the garbage collector finds it, nothing worse.
type Message struct {
	Header  []byte
	Payload []byte

	// Into is read on a request only and never travels: where the response's payload is to be
	// placed if it fits into cap(Into). The response's Payload then aliases it. The caller must not
	// touch Into until the call has returned.
	Into []byte

	free func()
}

// NewMessage returns a message whose buffers go back by calling free, which may be nil. It is
// for transports and for handlers that answer from pooled memory.
func NewMessage(header, payload []byte, free func()) *Message {
	return &Message{Header: header, Payload: payload, free: free}
}

// Release gives the buffers back. It may be called on nil and more than once, but not by two
// goroutines at once.
func (m *Message) Release() {
	if m == nil || m.free == nil {
		return
	}
	free := m.free
	m.free, m.Header, m.Payload = nil, nil, nil
	free()
}

// Size is the number of bytes of header and payload together.
func (m *Message) Size() int { return len(m.Header) + len(m.Payload) }

// Check reports ErrTooLarge if the message exceeds what a transport carries.
func (m *Message) Check() error {
	if len(m.Header) > HeaderSizeMax || len(m.Payload) > PayloadSizeMax {
		return ErrTooLarge
	}
	return nil
}
