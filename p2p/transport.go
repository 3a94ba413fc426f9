package p2p

import (
	"context"
	"io"
)

// Handler answers one request.
//
// req belongs to the transport: it is valid until the handler has returned and the response has
// been written; a handler that keeps bytes of it copies them. The response may alias req. The
// transport releases both. ctx carries the caller's deadline and ends when the caller gives up or
// its connection breaks. A nil response with a nil error is an empty response.
//
// Handlers of calls run concurrently. Handlers of notifications run one at a time per peer and
// class, in order; their result is dropped, and while they run no further one is taken from that peer.
type Handler func(ctx context.Context, from Peer, req *Message) (*Message, error)

// StreamHandler serves one stream and closes it by returning. ctx ends when the stream breaks.
type StreamHandler func(ctx context.Context, from Peer, s Stream)

// Stream is an ordered, authenticated, back-pressured pipe to one peer, used for snapshots.
// Read returns io.EOF only if the other end closed its half in order; a stream that was cut
// returns another error. Close ends both directions and may be called more than once.
type Stream interface {
	io.ReadWriteCloser
	// CloseWrite ends this direction: the peer reads io.EOF after the last byte.
	CloseWrite() error
}

// Transport carries messages between the members of one cluster. All methods may be called by
// many goroutines at once, except that Handle, HandleStream and OnPeer belong before the start.
type Transport interface {
	// Self is the node's own ID.
	Self() NodeID

	// Handle registers h for m. allow says which roles may call it; a peer with none of them gets
	// ErrRefused. It panics if m is already taken: that is a mistake in wiring.
	Handle(m Method, allow Role, h Handler)

	// HandleStream registers h for streams of method m, as Handle does.
	HandleStream(m Method, allow Role, h StreamHandler)

	// Call sends req and waits for the answer. The deadline of ctx travels with the request, and
	// its cancellation ends the handler's context. req.Header and req.Payload are only read, and
	// not after Call has returned. The caller releases the response.
	//
	// Errors: ErrTooLarge; *RemoteError when the handler failed; ErrRefused; or a *CallError that
	// wraps ErrUnreachable, ErrClosed, a broken connection or ctx.Err().
	// A call to Self runs the handler in the caller's goroutine on the caller's bytes.
	Call(ctx context.Context, to NodeID, m Method, req *Message) (*Message, error)

	// Notify queues payload, which it copies, for one-way delivery to the handler of m and returns
	// at once. Notifications to one peer arrive in order within their class (bulk or not), each at
	// most once; those queued when a connection breaks are lost. It returns ErrQueueFull when the
	// peer does not keep up, ErrUnreachable when the peer could not be reached a moment ago.
	Notify(to NodeID, m Method, payload []byte) error

	// OpenStream opens a stream to the handler that to registered with HandleStream for m. ctx
	// bounds the whole life of the stream.
	OpenStream(ctx context.Context, to NodeID, m Method) (Stream, error)

	// OnPeer registers f to be told when a peer is connected and checked (up) and when its last
	// connection is gone (down). Calls come one at a time, in order per peer; f must not block.
	// Down means only that: it says nothing about whether the peer lives.
	OnPeer(f func(id NodeID, up bool))

	// Addrs lists the addresses (multiaddr text) at which this node can be dialled.
	Addrs() []string
}
