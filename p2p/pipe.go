package p2p

import "io"

// Pipe is one end of a Stream in memory: what a node gets that opens a stream to itself. A Write
// waits for the Read that takes it.
type Pipe struct {
	r *io.PipeReader
	w *io.PipeWriter
}

var _ Stream = (*Pipe)(nil)

// NewPipe returns the two ends of a stream.
func NewPipe() (near, far *Pipe) {
	r1, w1 := io.Pipe()
	r2, w2 := io.Pipe()
	return &Pipe{r: r1, w: w2}, &Pipe{r: r2, w: w1}
}

func (p *Pipe) Read(b []byte) (int, error)  { return p.r.Read(b) }
func (p *Pipe) Write(b []byte) (int, error) { return p.w.Write(b) }

// CloseWrite makes the other end read io.EOF.
func (p *Pipe) CloseWrite() error { return p.w.Close() }

// Close ends both directions; the other end reads io.EOF and can write no more.
func (p *Pipe) Close() error {
	p.w.Close()
	return p.r.CloseWithError(io.ErrClosedPipe)
}

// Abort makes both ends fail with err, unless they have ended already.
func (p *Pipe) Abort(err error) {
	p.w.CloseWithError(err)
	p.r.CloseWithError(err)
}
