package sim

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
)

// Uploads in parts: clients that begin them before the cluster grows and keep them open while it does, the recoding of their parts, and
// the check that no part that was acknowledged is lost. All parts of an upload have the same content, which is the object's.

// uploaders is how many begin uploads.
const uploaders = 3

// partChunksMax bounds the chunks of a part.
const partChunksMax = 2

// upload is an upload as the groups know it, and what clients were told of it.
type upload struct {
	id      peer.VersionID
	b       bucket
	key     string
	content uint64
	parts   map[uint32]*version // that live, by number
	acked   map[uint32]bool     // numbers of those that were acknowledged
	ended   bool
}

func (u *upload) ref() *meta.UploadQuery {
	return &meta.UploadQuery{Bucket: u.b.id, Key: []byte(u.key), Upload: u.id[:]}
}

func (u *upload) String() string {
	return fmt.Sprintf("upload %x of v%d to %d/%s", u.id[:4], u.content, u.b.id, u.key)
}

// partETag is that of every part of a content: 16 bytes.
func partETag(content uint64) []byte {
	sum := sha256.Sum256(etagOf(content))
	return sum[:16]
}

// startUploads starts clients that upload in parts, and counts those that are not done.
func (w *world) startUploads() *int {
	left := uploaders
	for i := range uploaders {
		w.spawn(nil, "uploader", func(p *proc) {
			for range 2 {
				w.upload(p, 20+i)
			}
			left--
		})
	}
	return &left
}

// through does a step of an upload through any node. A node that dies leaves the outcome unknown.
func (w *world) through(p *proc, f func(*proc) error) error {
	gw := w.anyNode()
	if gw == nil {
		return unavailable()
	}
	done := w.future()
	r := w.spawn(gw, "client", func(p *proc) { done.resolve(nil, f(p)) })
	r.died = func() { done.resolve(nil, &api.Error{Kind: api.OutcomeUnknown, Op: "sim"}) }
	_, err := p.await(done, 0)
	return err
}

// upload begins an upload, adds parts over a long time, some of them twice, and completes it, aborts it, or leaves it open.
func (w *world) upload(p *proc, client int) {
	pause := func(most int) { p.sleep(time.Duration(1+w.rng.IntN(most)) * time.Second) }
	pause(20)
	u := &upload{
		id: peer.VersionID(w.bytes(16)), b: w.bucket(w.rng.IntN(partitions)), key: string(rune('a' + w.rng.IntN(3))), content: w.number(),
		parts: map[uint32]*version{}, acked: map[uint32]bool{},
	}
	w.check.uploads[u.id] = u
	err := w.through(p, func(p *proc) error {
		_, err := p.propose(u.b.group, &meta.Command{Op: &meta.Command_CreateUpload{CreateUpload: &meta.CreateUpload{
			Bucket: u.b.id, Key: []byte(u.key), Upload: u.id[:], Initiator: "o",
		}}})
		return err
	})
	w.logf("client %d: %v is begun: %v", client, u, err)
	last := uint32(1 + w.rng.IntN(3))
	for range int(last) + w.rng.IntN(3) {
		pause(40)
		number := 1 + w.rng.Uint32N(last)
		err := w.through(p, func(p *proc) error { return p.putPart(u, number, 1+w.rng.IntN(partChunksMax)) })
		w.logf("client %d: part %d of %v: %v", client, number, u, err)
		if err == nil {
			w.check.partAcknowledged(u, number)
		}
	}
	pause(60)
	switch k := w.rng.IntN(8); {
	case k < 2: // stays open
	case k == 2 || len(u.acked) == 0:
		err := w.through(p, func(p *proc) error { return p.abort(u) })
		w.logf("client %d: %v is given up: %v", client, u, err)
	default:
		if w.rng.IntN(4) == 0 { // a lifecycle rule comes in between
			w.spawn(nil, "expirer", func(p *proc) {
				p.sleep(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
				w.logf("%v expires: %v", u, w.through(p, func(p *proc) error { return p.abort(u) }))
			})
		}
		w.complete(p, client, u)
	}
}

// complete completes an upload through any node.
func (w *world) complete(p *proc, client int, u *upload) {
	op := &operation{kind: completeOp, b: u.b, key: u.key, content: u.content}
	call := w.check.begin(client, op)
	err := w.through(p, func(p *proc) error { return p.completeUpload(u) })
	w.logf("client %d: %v is completed: %v", client, u, err)
	w.check.end(call, string(etagOf(u.content)), err)
}

// chaseUpload has a client complete an upload at the moment that a part of it is recoded.
func (w *world) chaseUpload(id []byte) {
	u := w.check.uploads[peer.VersionID(id)]
	if w.faulty && !u.ended && len(u.acked) > 0 && w.rng.IntN(3) == 0 {
		w.spawn(nil, "chaser", func(p *proc) { w.complete(p, 30, u) })
	}
}

// putPart writes a part: node/client's PutPart.
func (p *proc) putPart(u *upload, number uint32, chunks int) error {
	l, err := p.getLayout()
	if err != nil {
		return err
	}
	o := u.b.owner(u.id[:], p.w.rng.Uint64()|1)
	if p.w.rng.IntN(4) == 0 {
		p.sleep(time.Duration(p.w.rng.IntN(40)) * time.Second) // its client sends slowly
	}
	m, err := p.store(l, u.content, chunks, o)
	if err == nil {
		_, err = p.propose(u.b.group, &meta.Command{Op: &meta.Command_PutPart{PutPart: &meta.PutPart{
			Bucket: u.b.id, Key: []byte(u.key), Upload: u.id[:], Number: number, Stream: o.Stream, Size: api.MinPartSize, Etag: partETag(u.content), Manifest: m.encode(),
		}}})
	}
	if err != nil {
		p.later(func(p *proc) { p.abandon(l, m, o) })
	}
	return err
}

// completeUpload makes the object from the parts that were acknowledged: node/client's CompleteUpload.
func (p *proc) completeUpload(u *upload) error {
	for attempt := 1; ; attempt++ {
		err := p.completeOnce(u)
		if err == nil || api.KindOf(err) != api.ConditionalConflict || attempt == 4 {
			return err
		}
		p.w.counts["completed again"]++
	}
}

func (p *proc) completeOnce(u *upload) error {
	numbers := slices.Sorted(maps.Keys(u.acked))
	a, err := p.query(u.b.group, &meta.Query{Q: &meta.Query_PartManifests{PartManifests: &meta.PartManifestsQuery{Upload: u.ref(), Numbers: numbers}}})
	if err != nil {
		return err
	}
	if p.w.faulty && p.w.rng.IntN(2) == 0 {
		p.sleep(time.Duration(p.w.rng.IntN(10)) * time.Second) // a tree of the manifest is written
	}
	c := &meta.CompleteUpload{Bucket: u.b.id, Key: []byte(u.key), Upload: u.id[:], Etag: etagOf(u.content)}
	whole := &manifest{content: u.content}
	for _, part := range a.GetPartManifests().GetParts() {
		whole.pieces = append(whole.pieces, decodeManifest(part.GetManifest()).pieces...)
		c.Parts = append(c.Parts, &meta.CompletePart{Number: part.GetInfo().GetNumber(), Etag: part.GetInfo().GetEtag(), Stream: part.GetInfo().GetStream()})
		c.Size += part.GetInfo().GetSize()
	}
	c.Manifest = whole.encode()
	_, err = p.propose(u.b.group, &meta.Command{Op: &meta.Command_CompleteUpload{CompleteUpload: c}})
	return err
}

func (p *proc) abort(u *upload) error {
	_, err := p.propose(u.b.group, &meta.Command{Op: &meta.Command_AbortUpload{AbortUpload: &meta.AbortUpload{Bucket: u.b.id, Key: []byte(u.key), Upload: u.id[:]}}})
	return err
}

// recodeParts puts the parts of a group's open uploads into shards of the present profile.
func (n *node) recodeParts(p *proc, l *peer.Layout, g consensus.GroupID) {
	a, err := p.query(g, &meta.Query{Q: &meta.Query_Manifests{Manifests: &meta.ManifestsQuery{Parts: true, Now: n.clock().UnixNano()}}})
	if err != nil {
		return
	}
	for _, v := range a.GetManifests().GetManifests() {
		if m := decodeManifest(v.GetManifest()); m != nil && m.wrong(l) && !v.GetHeld() {
			n.recodePart(p, l, bucket{v.GetBucket(), g}, v, m)
		}
	}
}

func (n *node) recodePart(p *proc, l *peer.Layout, b bucket, v *meta.VersionManifest, m *manifest) {
	a, err := p.query(b.group, &meta.Query{Q: &meta.Query_Manifests{Manifests: &meta.ManifestsQuery{Parts: true, After: v.GetVersion(), AfterPart: v.GetPart() - 1, Max: 1, Now: n.clock().UnixNano()}}})
	if list := a.GetManifests().GetManifests(); err != nil || len(list) == 0 || list[0].GetHeld() || !bytes.Equal(list[0].GetManifest(), v.GetManifest()) {
		return
	}
	o := b.owner(v.GetVersion(), n.w.rng.Uint64()|1)
	made, err := p.storeAgain(l, m, o)
	n.w.chaseUpload(v.GetVersion())
	if err == nil {
		old := sha256.Sum256(v.GetManifest())
		_, err = p.propose(b.group, &meta.Command{Op: &meta.Command_RecodePart{RecodePart: &meta.RecodePart{
			Upload: v.GetVersion(), Number: v.GetPart(), OldDigest: old[:], Manifest: made.encode(), Stream: o.Stream,
		}}})
	}
	if err == nil {
		n.w.counts["parts recoded"]++
		return
	}
	if kind := api.KindOf(err); kind == api.ConditionalConflict || kind == api.NoSuchUpload {
		n.w.counts["parts overtaken"]++
	}
	p.abandon(l, made, o)
}

// open lists the uploads that are open, in order.
func (c *checker) open() []*upload {
	all := slices.Collect(maps.Values(c.uploads))
	all = slices.DeleteFunc(all, func(u *upload) bool { return u.ended })
	slices.SortFunc(all, func(a, b *upload) int { return cmp.Compare(a.content, b.content) })
	return all
}

func (c *checker) uploadOf(id []byte) *upload {
	u := c.uploads[peer.VersionID(id)]
	if u == nil {
		c.w.failf("nobody has begun upload %x", id)
	}
	return u
}

func (c *checker) partPut(put *meta.PutPart) {
	if c.streams[put.GetStream()] {
		return // a repeat, which gives the first result
	}
	u := c.uploadOf(put.GetUpload())
	if u.ended {
		c.w.failf("%v has ended and takes a part", u)
	}
	c.streams[put.GetStream()] = true
	if old := u.parts[put.GetNumber()]; old != nil {
		c.bury(old)
	}
	v := &version{id: u.id, b: u.b, key: fmt.Sprintf("%s, part %d", u.key, put.GetNumber()), etag: string(etagOf(u.content)), m: decodeManifest(put.GetManifest())}
	u.parts[put.GetNumber()] = v
	c.use(v)
	c.promised(v)
}

func (c *checker) partRecoded(r *meta.RecodePart) {
	if c.streams[r.GetStream()] {
		return // a repeat, which gives the first result
	}
	c.streams[r.GetStream()] = true
	u := c.uploadOf(r.GetUpload())
	v := u.parts[r.GetNumber()]
	if u.ended || v == nil {
		c.w.failf("part %d of %v was recoded and does not live", r.GetNumber(), u)
	}
	if sum := sha256.Sum256(v.m.encode()); !bytes.Equal(sum[:], r.GetOldDigest()) {
		c.w.failf("part %d of %v was recoded from what it is not", r.GetNumber(), u)
	}
	c.replace(v, r.GetManifest())
	c.w.logf("part %d of %v is recoded to %v", r.GetNumber(), u, v.m.pieces[0].profile)
}

func (c *checker) completed(cmd *meta.CompleteUpload) {
	u := c.uploadOf(cmd.GetUpload())
	if u.ended {
		if c.versions[u.id] == nil {
			c.w.failf("%v was given up, and is completed", u)
		}
		return // a repeat, which gives the first result
	}
	want := &manifest{content: u.content}
	for _, part := range cmd.GetParts() {
		v := u.parts[part.GetNumber()]
		if v == nil || v.m.pieces[0].stream != part.GetStream() {
			c.w.failf("%v is completed from a part %d that does not live", u, part.GetNumber())
		}
		want.pieces = append(want.pieces, v.m.pieces...)
	}
	if !bytes.Equal(want.encode(), cmd.GetManifest()) {
		c.w.failf("%v is not made of its parts", u)
	}
	c.w.counts["completed"]++
	c.endUpload(u)
	c.install(&version{id: u.id, b: u.b, key: u.key, etag: string(etagOf(u.content)), m: want})
}

func (c *checker) aborted(cmd *meta.AbortUpload) {
	if u := c.uploadOf(cmd.GetUpload()); !u.ended {
		c.endUpload(u)
	}
}

// endUpload ends an upload.
func (c *checker) endUpload(u *upload) {
	u.ended = true
	for _, v := range u.parts {
		c.bury(v)
	}
}

// partAcknowledged checks that what a client was told is so.
func (c *checker) partAcknowledged(u *upload, number uint32) {
	u.acked[number] = true
	if !u.ended && u.parts[number] == nil {
		c.w.failf("part %d of %v was acknowledged, and no group has it", number, u)
	}
}

// completeAll completes the uploads that are still open, and reads them: no part that was acknowledged may be missing.
func (p *proc) completeAll() {
	for _, u := range p.w.check.open() {
		if len(u.acked) == 0 {
			continue
		}
		p.w.must(p.completeOnce(u), fmt.Sprint(u, " at the end"))
		o, err := p.open(u.b, u.key, u.id[:])
		p.w.must(err, fmt.Sprint("look up ", u))
		if etag, err := p.read(o); err != nil || etag != string(etagOf(u.content)) {
			p.w.failf("%v reads %v at the end: %v", u, etag, err)
		}
		p.close(o)
		p.w.counts["completed late"]++
	}
}
