package s3op

import (
	"context"

	"shoal/gateway/iam"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// setting is a configuration of a bucket that is one XML document: it is read strictly,
// stored as this package writes it, and given back as it is stored.
type setting struct {
	name  string // under which it is stored
	limit int64  // bytes of the request
	// proof says that the request must carry a digest of its body.
	proof bool
	// read judges a document and gives the form that is stored; nil removes what is.
	read func(text []byte) ([]byte, error)
	// unset gives the document of a bucket for which nothing was stored, or the error that
	// says so.
	unset func() ([]byte, error)
	// sticky settings keep apart what was never set from what was removed.
	sticky bool
	// removed is the error for a sticky setting that was removed.
	removed s3err.Code
	// empty says that PUT answers 204, not 200.
	empty bool
	// keys gives the condition keys of a document that is to be stored, for an operation that asks for its right
	// by itself. Nil is for one that does not.
	keys func(doc []byte) map[string][]string
}

// removedDocument stands for a sticky setting that was removed: no XML document is like it.
var removedDocument = []byte(iam.RemovedDocument)

// get answers with the document.
func (s *setting) get(ctx context.Context, c *call) error {
	conf, err := c.Buckets.Configuration(ctx, c.Bucket, 0)
	if err != nil {
		return err
	}
	doc, err := s.document(conf)
	if err != nil {
		return err
	}
	return c.writeXML(func(b []byte) []byte { return append(b, doc...) })
}

// document finds the setting in a bucket's configuration.
func (s *setting) document(conf *api.Configuration) ([]byte, error) {
	doc := conf.Documents[s.name]
	switch {
	case len(doc) == 0:
		return s.unset()
	case s.sticky && string(doc) == string(removedDocument):
		return nil, s3err.New(s.removed)
	}
	return doc, nil
}

// put stores the document of the request.
func (s *setting) put(ctx context.Context, c *call) error {
	text, err := c.document(s.limit, s.proof)
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return s3err.New(s3err.MissingRequestBodyError)
	}
	doc, err := s.read(text)
	if err != nil {
		return err
	}
	if s.keys != nil {
		if err := c.authorizeOwn(ctx, s.keys(doc)); err != nil {
			return err
		}
	}
	if err := c.store(ctx, s.name, doc); err != nil {
		return err
	}
	if s.empty {
		return c.writeNoContent()
	}
	return c.writeEmpty()
}

// remove takes the setting away.
func (s *setting) remove(ctx context.Context, c *call) error {
	var doc []byte
	if s.sticky {
		doc = removedDocument
	}
	if err := c.store(ctx, s.name, doc); err != nil {
		return err
	}
	return c.writeNoContent()
}

func (c *call) store(ctx context.Context, name string, doc []byte) error {
	defer c.Rules.Forget(c.Bucket)
	return c.Buckets.SetConfiguration(ctx, &api.SetConfiguration{Bucket: c.Bucket, Name: name, Document: doc})
}

// missing is the unset of a setting that S3 does not have unless it was set.
func missing(code s3err.Code) func() ([]byte, error) {
	return func() ([]byte, error) { return nil, s3err.New(code) }
}

// fixed is the unset of a setting that every bucket has.
func fixed(doc []byte) func() ([]byte, error) {
	return func() ([]byte, error) { return doc, nil }
}
