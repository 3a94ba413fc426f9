package s3op

import (
	"context"
	"log/slog"
	"net/http"
)

// getObject is GetObject
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).
func getObject(ctx context.Context, c *call) error {
	ref, part, err := c.readRef()
	if err != nil {
		return err
	}
	o, err := c.Objects.Open(ctx, ref)
	if err != nil {
		return c.readError(err, ref)
	}
	defer o.Close()
	if err := c.confirm(ref, o.Info()); err != nil {
		return err
	}
	a, err := c.answerFor(o.Info(), ref, part)
	if err != nil {
		return err
	}
	c.writeReadExpiration(ctx, ref, o.Info())
	out := &lateWriter{answer: a}
	if a.status != http.StatusNotModified && a.sel.n > 0 {
		err = o.WriteRange(ctx, out, a.sel.off, a.sel.n)
		if !out.begun && err != nil {
			return err
		}
		if out.written != a.sel.n {
			c.breakOff(err, out)
		}
		return nil
	}
	out.begin()
	return nil
}

// lateWriter writes the headers with the first byte, so that what goes wrong before it
// is still an error document.
type lateWriter struct {
	answer  *reading
	begun   bool
	written int64
	failed  error // error of the connection
}

func (w *lateWriter) begin() {
	w.begun = true
	w.answer.writeHeaders()
	w.answer.c.w.WriteHeader(w.answer.status)
}

// Write gives bytes to the connection.
func (w *lateWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil // nothing has come yet
	}
	if !w.begun {
		w.begin()
	}
	n, err := w.answer.c.w.Write(p)
	w.written += int64(n)
	if err != nil {
		w.failed = err
	}
	return n, err
}

// breakOff cuts the connection in the middle of an answer: the client must not take
// what it has for the whole.
func (c *call) breakOff(err error, out *lateWriter) {
	if c.Logger != nil && out.failed == nil {
		c.Logger.Error("object read broke off", slog.String("request_id", c.RequestID),
			slog.String("bucket", c.Bucket), slog.String("key", c.Key),
			slog.Int64("offset", out.answer.sel.off+out.written), slog.Any("err", err))
	}
	panic(http.ErrAbortHandler)
}
