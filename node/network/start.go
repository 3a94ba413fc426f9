package network

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"time"

	"shoal/node/keyring"
)

const (
	startHead = "shoal-start-1 "
	// startMax bounds what a file is believed: milliseconds up to the year 2200.
	startMax = 7_258_118_400_000
)

// nextStart numbers this start of the member: higher than those before, also when the clock went
// back meanwhile, or others would take what the member says of itself for old. The number of the last
// start is in the file at path. Without it, or when it cannot be read, the clock must do.
func nextStart(path string, now time.Time, log *slog.Logger) uint64 {
	next := uint64(max(0, now.UnixMilli()))
	if path == "" {
		return next
	}
	last, err := lastStart(path)
	if err == nil {
		next = max(next, last+1)
	}
	if werr := keyring.WritePrivate(path, fmt.Appendf(nil, "%s%d\n", startHead, next)); err == nil || errors.Is(err, fs.ErrNotExist) {
		err = werr
	}
	if err != nil {
		log.Warn("the number of this start is that of the clock, or is not kept", "err", err)
	}
	return next
}

func lastStart(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	number, ok := bytes.CutPrefix(bytes.TrimSuffix(text, []byte("\n")), []byte(startHead))
	last, err := strconv.ParseUint(string(number), 10, 64)
	if !ok || err != nil || last > startMax {
		return 0, fmt.Errorf("%s is damaged", path)
	}
	return last, nil
}
