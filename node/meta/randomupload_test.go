package meta

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"shoal/node/api"
)

func (w *walk) create() {
	id := w.bucketID()
	c := &CreateUpload{Bucket: id, Key: w.pick(walkKeys), Upload: w.freshID(), Metadata: w.metadata(), Initiator: "me"}
	b := w.bucket(id)
	c.Lock, c.Tags, c.Acl = w.someLock(b), w.someTags(), w.someACL()
	c.StorageClass = uint32(w.rnd.IntN(2))
	w.runCreate(c)
}

func (w *walk) runCreate(c *CreateUpload) {
	w.t.Helper()
	b := w.bucket(c.Bucket)
	want := w.model.createUpload(b, c)
	res := w.run(&Command_CreateUpload{c}, want)
	if want == ok && res.GetUpload().Initiated != w.upload(b, string(c.Upload)).begun {
		w.t.Fatalf("begun %v, model %+v", res, w.upload(b, string(c.Upload)))
	}
}

// anyUpload names an open upload, or one that is not.
func (w *walk) anyUpload() (bucket uint64, key, id []byte, u *modelUpload) {
	bucket = w.bucketID()
	b := w.bucket(bucket)
	if len(b.uploads) == 0 || w.chance(8) {
		return bucket, w.pick(walkKeys), w.oldID(), nil
	}
	u = b.uploads[w.rnd.IntN(len(b.uploads))]
	return bucket, []byte(u.key), []byte(u.id), u
}

func md5Of(s string) []byte { return []byte((s + "................")[:16]) }

func (w *walk) part() {
	bucket, key, id, _ := w.anyUpload()
	sizes := []uint64{api.MinPartSize, api.MinPartSize + 1, 77}
	c := &PutPart{
		Bucket: bucket, Key: key, Upload: id, Number: uint32(1 + w.rnd.IntN(4)), Stream: w.era + uint64(10+w.rnd.IntN(30)),
		Size: sizes[w.rnd.IntN(len(sizes))], Etag: md5Of(fmt.Sprint(w.rnd.IntN(3))),
	}
	c.Manifest = fmt.Appendf(nil, "part %x %d", id, c.Stream)
	c.Source = w.source()
	w.run(&Command_PutPart{c}, w.putPart(w.bucket(bucket), c))
}

func (w *walk) finish() {
	bucket, key, id, u := w.anyUpload()
	c := &CompleteUpload{Bucket: bucket, Key: key, Upload: id, Manifest: fmt.Appendf(nil, "whole %x", id), Etag: []byte("etag1-n")}
	c.ChecksumAlgorithm, c.ChecksumType, c.ChecksumValue = w.checksum()
	if u != nil {
		for _, n := range slices.Sorted(maps.Keys(u.parts)) {
			p := u.parts[n]
			if w.chance(15) {
				continue
			}
			part := &CompletePart{Number: n, Etag: []byte(p.etag), Stream: p.stream}
			if w.chance(3) {
				part.Stream++
			}
			if w.chance(3) {
				part.Etag = md5Of("x")
			}
			c.Size += p.size
			c.Parts = append(c.Parts, part)
		}
	}
	if len(c.Parts) == 0 {
		c.Parts = []*CompletePart{{Number: 1, Etag: md5Of("0"), Stream: w.era + 10}}
	}
	if w.chance(4) {
		c.Size++
	}
	if w.chance(4) {
		c.Parts = append(c.Parts, c.Parts[0])
	}
	if w.chance(30) {
		c.Streams = []uint64{w.era + uint64(40+w.rnd.IntN(3))}
	}
	w.conditions(&c.IfNoneMatch, &c.IfMatch)
	w.runComplete(c)
}

func (w *walk) runComplete(c *CompleteUpload) {
	w.t.Helper()
	res := w.run(&Command_CompleteUpload{c}, w.model.complete(w.bucket(c.Bucket), c))
	w.sameWritten(c.Bucket, c.Key, c.Upload, res)
}

func (w *walk) giveUp() {
	bucket, key, id, _ := w.anyUpload()
	c := &AbortUpload{Bucket: bucket, Key: key, Upload: id}
	w.run(&Command_AbortUpload{c}, w.abort(w.bucket(bucket), c))
}

// recodePart puts the content of a part into another stream, now and then of one that is another by now.
func (w *walk) recodePart() {
	_, _, id, u := w.anyUpload()
	c := &RecodePart{Upload: id, Number: uint32(1 + w.rnd.IntN(4)), OldDigest: make([]byte, sha256.Size), Stream: w.era + uint64(10+w.rnd.IntN(30))}
	c.Manifest = fmt.Appendf(nil, "recoded %x %d", id, c.Stream)
	if u != nil && len(u.parts) > 0 && w.chance(90) {
		numbers := slices.Sorted(maps.Keys(u.parts))
		c.Number = numbers[w.rnd.IntN(len(numbers))]
	}
	if u != nil && u.parts[c.Number] != nil && w.chance(90) {
		sum := sha256.Sum256([]byte(u.parts[c.Number].body))
		c.OldDigest = sum[:]
	}
	w.run(&Command_RecodePart{c}, w.model.recodePart(c))
}
