package client

import (
	"context"
	"errors"
	"io"
	"time"

	"shoal/chunker"
	"shoal/chunker/checksum"
	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/node/shardstore"
)

const (
	// pieceSize is how many bytes are read, digested and sealed at a time: few enough to stay in the caches. With half of it the
	// hand-overs to those who digest cost 3 % of the rate, with a quarter 6 %.
	pieceSize = 1 << 20
	// chunksInFlight is how many chunks of one stream are in memory: one is filled while the other is
	// being written.
	chunksInFlight = 2
)

// upload writes one stream of bytes as chunks that belong to one owner.
type upload struct {
	c      *Client
	layout *peer.Layout
	owner  shardstore.Owner
	coder  *erasure.Coder
	sealer *envelope.Sealer
	seg    chunker.Segment
	short  []chunker.ChunkID // chunks that miss shards

	pieces  [2]*chunker.Buffer
	stripes []*stripe
	done    []chan putResult // of the chunk that a stripe carries; nil when it is free
	err     error            // the first error of a put
}

type putResult struct {
	id    chunker.ChunkID
	short bool
	err   error
}

// newUpload takes the memory for a stream of size bytes and makes its data key, which counts only with the
// customer's key, if there is one. release must follow.
func (c *Client) newUpload(ctx context.Context, l *peer.Layout, owner shardstore.Owner, size int64, key *api.CustomerKey) (*upload, error) {
	coder, err := erasure.New(l.Profile)
	if err != nil {
		return nil, err
	}
	kek, err := c.kek(ctx, 0)
	if err != nil {
		return nil, err
	}
	dek := envelope.NewDEK()
	u := &upload{c: c, layout: l, owner: owner, coder: coder, sealer: envelope.NewSealer(under(dek, key), c.framing())}
	u.seg = chunker.Segment{
		Kind: chunker.SegmentData, WrappedDEK: envelope.Wrap(kek, dek, l.Cluster[:]),
		Stream: owner.Stream, K: l.Profile.K, M: l.Profile.M, Size: size, Framing: u.sealer.Framing,
	}
	return u, u.allocate(ctx, size)
}

// framing is how new streams are cut into frames: finely, if all members can read that.
func (c *Client) framing() envelope.Framing {
	if c.level != nil && c.level() < meta.LevelFraming {
		return envelope.Coarse
	}
	return envelope.Fine
}

// allocate takes all the memory that the stream will use, at once: a stream that holds some never
// waits for more, so streams cannot block one another.
func (u *upload) allocate(ctx context.Context, size int64) error {
	stripes := 1
	if size > chunker.ChunkSize {
		stripes = chunksInFlight
	}
	pieces := 1
	if size > pieceSize {
		pieces = 2
	}
	stripeBytes := u.layout.Profile.StripeSize(u.sealer.SealedLen(int(min(size, chunker.ChunkSize))))
	sizes := make([]int, 0, 4)
	for range pieces {
		sizes = append(sizes, int(min(size, pieceSize)))
	}
	for range stripes {
		sizes = append(sizes, stripeBytes)
	}
	bufs, err := u.c.buffers(ctx, sizes)
	if err != nil {
		return err
	}
	copy(u.pieces[:], bufs[:pieces])
	for _, b := range bufs[pieces:] {
		u.stripes = append(u.stripes, &stripe{buf: b})
	}
	u.done = make([]chan putResult, stripes)
	return nil
}

// bufferPatience is for how long nobody must have given memory back before a stream that waits is
// given some of the reserve: then those who hold it are slow senders, who must not keep all others
// out. While memory goes round, everybody waits for his turn, and the budget holds.
const bufferPatience = 3 * time.Second

func (c *Client) buffers(ctx context.Context, sizes []int) ([]*chunker.Buffer, error) {
	wait, stuck := context.WithCancel(ctx)
	defer stuck()
	watch := time.AfterFunc(bufferPatience, func() { c.watchBuffers(wait, stuck) })
	defer watch.Stop()
	bufs, err := c.pool.GetMany(wait, sizes...)
	if err != nil && ctx.Err() == nil {
		bufs, err = c.reserve.GetMany(ctx, sizes...)
	}
	if err != nil {
		return nil, &api.Error{Kind: api.SlowDown, Op: "client.buffers", Err: err}
	}
	return bufs, nil
}

// watchBuffers calls stuck once no upload has given memory back for a while, unless ctx ends first.
func (c *Client) watchBuffers(ctx context.Context, stuck func()) {
	t := time.NewTicker(bufferPatience)
	defer t.Stop()
	for time.Since(time.Unix(0, c.released.Load())) < bufferPatience {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
	stuck()
}

func (u *upload) release() {
	u.drain()
	for _, b := range u.pieces {
		if b != nil {
			b.Release()
		}
	}
	for _, s := range u.stripes {
		s.release()
	}
	u.pieces, u.stripes = [2]*chunker.Buffer{}, nil
	u.c.released.Store(time.Now().UnixNano())
}

// write reads body to its end and stores it. The digests are complete when it returns nil.
func (u *upload) write(ctx context.Context, body io.Reader, size int64, digest *checksum.Stream) error {
	pieces := chunker.NewPieces(body, size, pieceSize)
	for off := int64(0); off < size; off += chunker.ChunkSize {
		n := int(min(size-off, chunker.ChunkSize))
		if err := u.chunk(ctx, pieces, digest, n); err != nil {
			return err
		}
	}
	digest.Wait()
	return u.drain()
}

// chunk reads, seals and sends one chunk of n plaintext bytes.
func (u *upload) chunk(ctx context.Context, pieces *chunker.Cutter, digest *checksum.Stream, n int) error {
	index := len(u.seg.Chunks)
	slot := index % len(u.stripes)
	if err := u.wait(slot); err != nil {
		return err
	}
	s, err := u.freeStripe(ctx, slot)
	if err != nil {
		return err
	}
	sealedLen := u.sealer.SealedLen(n)
	if err := u.seal(pieces, digest, s.buf.B[:sealedLen], uint32(index), n); err != nil {
		return err
	}
	id, err := s.code(u.coder, sealedLen)
	if err != nil {
		return err
	}
	u.seg.Chunks = append(u.seg.Chunks, chunker.ChunkRef{ID: id, Index: uint32(index), Size: uint32(n), Len: uint32(n)})
	if len(u.stripes) == 1 { // the only chunk: nothing to do beside it
		short, err := u.c.put(ctx, u.layout, s, id, sealedLen, u.owner)
		return u.finished(putResult{id, short, err})
	}
	result := make(chan putResult, 1)
	u.done[slot] = result
	go func() {
		short, err := u.c.put(ctx, u.layout, s, id, sealedLen, u.owner)
		result <- putResult{id, short, err}
	}()
	return nil
}

// seal fills dst with the sealed form of the stream's next n bytes.
func (u *upload) seal(pieces *chunker.Cutter, digest *checksum.Stream, dst []byte, index uint32, n int) error {
	for off, turn := 0, 0; off < n; turn++ {
		piece := u.pieces[0]
		if turn%2 == 1 && u.pieces[1] != nil {
			piece = u.pieces[1]
		}
		size := min(n-off, pieceSize)
		got, err := pieces.Fill(piece.B[:size])
		if err != nil {
			return bodyError(err)
		}
		digest.Start(piece.B[:got]) // waits until the other piece is digested, so that it may be filled next
		frame := off / u.sealer.Size()
		at := off + frame*envelope.Overhead
		u.sealer.SealFrames(dst[at:at+u.sealer.SealedLen(got)], piece.B[:got], index, frame, n)
		off += got
	}
	return nil
}

// bodyError tells a body of the wrong length from one whose reader failed.
func bodyError(err error) error {
	switch {
	case errors.Is(err, chunker.ErrShort), errors.Is(err, chunker.ErrLong):
		return &api.Error{Kind: api.IncompleteBody, Op: "client.upload", Err: err}
	case errors.Is(err, io.EOF):
		return &api.Error{Kind: api.IncompleteBody, Op: "client.upload", Err: io.ErrUnexpectedEOF}
	}
	return err
}

// freeStripe gives a stripe whose memory nobody reads. Late writes that were cancelled end soon; those
// that a drive does not let go of keep their memory, and the stream is given other.
func (u *upload) freeStripe(ctx context.Context, slot int) (*stripe, error) {
	s := u.stripes[slot]
	if s.late == nil {
		return s, nil
	}
	t := time.NewTimer(graceMin)
	defer t.Stop()
	select {
	case <-s.late:
		s.late = nil
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
	}
	bufs, err := u.c.reserve.GetMany(ctx, len(s.buf.B))
	if err != nil {
		return nil, &api.Error{Kind: api.SlowDown, Op: "client.buffers", Err: err}
	}
	s.release()
	u.stripes[slot] = &stripe{buf: bufs[0]}
	return u.stripes[slot], nil
}

// wait makes a stripe's memory free again.
func (u *upload) wait(slot int) error {
	if ch := u.done[slot]; ch != nil {
		u.done[slot] = nil
		u.finished(<-ch)
	}
	return u.err
}

func (u *upload) drain() error {
	for slot := range u.done {
		u.wait(slot)
	}
	return u.err
}

func (u *upload) finished(r putResult) error {
	if r.short {
		u.short = append(u.short, r.id)
	}
	if u.err == nil {
		u.err = r.err
	}
	return u.err
}
