package meta

import (
	"bytes"

	"shoal/node/api"
)

// Err is nil for a success and an *api.Error otherwise. op names the caller.
func (r *Result) Err(op string) error { return codeError(r.GetCode(), r.GetDetail(), op) }

// Err is nil for a success and an *api.Error otherwise. op names the caller.
func (a *Answer) Err(op string) error { return codeError(a.GetCode(), a.GetDetail(), op) }

// Err is nil for a success and an *api.Error otherwise. op names the caller.
func (d *Deleted) Err(op string) error { return codeError(d.GetCode(), d.GetDetail(), op) }

func codeError(code uint32, detail, op string) error {
	if code == 0 {
		return nil
	}
	kind, _ := api.KindFromWire(code)
	return &api.Error{Kind: kind, Op: op, Detail: detail}
}

func codeOf(k api.Kind) uint32 { return (&api.Error{Kind: k}).WireCode() }

// refuse makes the result of a command that is not carried out.
func refuse(k api.Kind, detail string) *Result { return &Result{Code: codeOf(k), Detail: detail} }

func invalid(detail string) *Result { return refuse(api.InvalidArgument, detail) }

// asError turns a refusal into the error of a typed read.
func asError(r *Result, op string) error {
	if r == nil {
		return nil
	}
	return r.Err(op)
}

// named is a version as the command that makes it describes it; nil for other commands.
func (c *Command) named() *Written {
	if p := c.GetPutVersion(); p != nil {
		return p.named()
	}
	if p := c.GetCompleteUpload(); p != nil {
		return p.named()
	}
	return nil
}

func (c *PutVersion) named() *Written {
	return &Written{
		Version: c.Version, Size: c.Size, Etag: c.Etag, ChecksumAlgorithm: c.ChecksumAlgorithm, ChecksumType: c.ChecksumType, ChecksumValue: c.ChecksumValue,
	}
}

func (c *CompleteUpload) named() *Written {
	return &Written{
		Version: c.Upload, Size: c.Size, Etag: c.Etag, ChecksumAlgorithm: c.ChecksumAlgorithm, ChecksumType: c.ChecksumType, ChecksumValue: c.ChecksumValue,
	}
}

// shorten gives the form in which a command's result is kept: without what a repeat of the command
// says itself.
func (r *Result) shorten(c *Command) *Result {
	w := r.GetWritten()
	if w == nil || !w.sameVersion(c.named()) {
		return r
	}
	return &Result{Payload: &Result_Written{Written: &Written{Mtime: w.Mtime, NullVersion: w.NullVersion, Versioning: w.Versioning, Seq: w.Seq, AsCommanded: true}}}
}

// sameVersion tells whether o describes the version in the same way.
func (w *Written) sameVersion(o *Written) bool {
	return o != nil && bytes.Equal(w.Version, o.Version) && w.Size == o.Size && bytes.Equal(w.Etag, o.Etag) &&
		w.ChecksumAlgorithm == o.ChecksumAlgorithm && w.ChecksumType == o.ChecksumType && bytes.Equal(w.ChecksumValue, o.ChecksumValue)
}

// complete undoes shorten.
func (r *Result) complete(c *Command) *Result {
	w, named := r.GetWritten(), c.named()
	if !w.GetAsCommanded() || named == nil {
		return r
	}
	named.Mtime, named.NullVersion, named.Versioning, named.Seq = w.Mtime, w.NullVersion, w.Versioning, w.Seq
	return &Result{Payload: &Result_Written{Written: named}}
}
