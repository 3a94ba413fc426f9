package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"shoal/chunker"
)

// floors are what the machine takes for the parts of a request, in processor seconds per GiB.
type floors struct {
	sha256, md5, blake3, gcm, direct float64
	put, get                         float64 // a server that keeps nothing
}

const (
	// floorBytes is what a digest or cipher is measured on.
	floorBytes = 16 * mib
	frameBytes = 64 * kib
	// recordBytes is a consensus record of 512 bytes with its header.
	recordBytes = 544
	// zeroedBytes is the size of the file that consensus records are written to.
	zeroedBytes = 64 * mib
)

// measureFloors measures everything but the network, in a directory on the disk under test.
func (b *bench) measureFloors(dir string) error {
	if err := b.floorSyncs(dir); err != nil {
		return err
	}
	if err := b.floorDigests(); err != nil {
		return err
	}
	return b.floorDirect(dir)
}

func (b *bench) floorSyncs(dir string) error {
	one, err := appendSynced(filepath.Join(dir, "append-1"), 1, b.short())
	if err != nil {
		return err
	}
	one.Name = "floor: append 4 KiB + fdatasync"
	b.add(one)
	many, err := appendSynced(filepath.Join(dir, "append-16"), 16, b.short())
	if err != nil {
		return err
	}
	many.Name = "floor: append 4 KiB + fdatasync, group commit"
	b.add(many)
	return nil
}

// groupFile is a file to which many append. Whoever finds no sync under way writes and
// syncs what all have queued; the others wait for that or the next one.
type groupFile struct {
	f *os.File

	mu      sync.Mutex // guards the rest
	wake    *sync.Cond
	queue   []byte
	turn    int // number of the batch that queue belongs to
	done    int // batches up to this one are on disk
	writing bool
	err     error
}

// append returns when record is on disk.
func (g *groupFile) append(record []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.queue = append(g.queue, record...)
	mine := g.turn
	for g.done <= mine && g.err == nil {
		if g.writing {
			g.wake.Wait()
			continue
		}
		batch := g.queue
		g.queue, g.writing = nil, true
		g.turn++
		turn := g.turn
		g.mu.Unlock()
		_, err := g.f.Write(batch)
		if err == nil {
			err = syncData(g.f)
		}
		g.mu.Lock()
		g.done, g.writing = turn, false
		if g.err == nil {
			g.err = err
		}
		g.wake.Broadcast()
	}
	return g.err
}

// appendSynced appends 4 KiB at a time from that many goroutines.
func appendSynced(name string, appenders int, long time.Duration) (row, error) {
	r := row{Clients: appenders}
	f, err := os.Create(name)
	if err != nil {
		return r, err
	}
	defer os.Remove(name)
	defer f.Close()
	g := &groupFile{f: f}
	g.wake = sync.NewCond(&g.mu)
	took, errs := make([][]time.Duration, appenders), make([]error, appenders)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range appenders {
		wg.Go(func() {
			record := make([]byte, 4*kib)
			for at := began; errs[i] == nil && at.Sub(began) < long; {
				errs[i] = g.append(record)
				now := time.Now()
				took[i] = append(took[i], now.Sub(at))
				at = now
			}
		})
	}
	wg.Wait()
	r.Seconds = time.Since(began).Seconds()
	var all []time.Duration
	for i := range took {
		if errs[i] != nil {
			return r, errs[i]
		}
		all = append(all, took[i]...)
	}
	r.Ops = len(all)
	r.P50, r.P99 = latencies(all)
	r.PerSecond = per(float64(r.Ops), r.Seconds)
	return r, nil
}

// floorDigests measures digests and cipher on one core, in memory that the cache does not hold.
func (b *bench) floorDigests() error {
	pool := b.content.pool[:floorBytes]
	block, err := aes.NewCipher(pool[:32])
	if err != nil {
		return err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	sealed := make([]byte, 0, frameBytes+gcm.Overhead())
	nonce := make([]byte, gcm.NonceSize())
	for _, f := range []struct {
		name string
		into *float64
		do   func()
	}{
		{"SHA-256 of 16 MiB", &b.floors.sha256, func() { sha256.Sum256(pool) }},
		{"MD5 of 16 MiB", &b.floors.md5, func() { md5.Sum(pool) }},
		{"SHA-256 + MD5 of 16 MiB", nil, func() { sha256.Sum256(pool); md5.Sum(pool) }},
		// As shards are hashed: on one goroutine. The library's own front end fans out, which costs twice as much in all.
		{"BLAKE3 of 16 MiB", &b.floors.blake3, func() { chunker.HashShard(pool) }},
		{"AES-256-GCM in frames of 64 KiB", &b.floors.gcm, func() {
			for at := 0; at < len(pool); at += frameBytes {
				gcm.Seal(sealed, nonce, pool[at:at+frameBytes], nil)
			}
		}},
	} {
		r, err := repeat("floor: "+f.name, b.short(), floorBytes, func() error { f.do(); return nil })
		if err != nil {
			return err
		}
		if f.into != nil {
			*f.into = r.CPUPerGiB
		}
		b.add(r)
	}
	return nil
}

// repeat calls do, which handles that many bytes, for so long, and charges this process's time.
func repeat(name string, long time.Duration, bytes int64, do func() error) (row, error) {
	r := row{Name: name, Clients: 1}
	before, err := ownTime()
	if err != nil {
		return r, err
	}
	var took []time.Duration
	began := time.Now()
	for at := began; at.Sub(began) < long; {
		if err := do(); err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		now := time.Now()
		took = append(took, now.Sub(at))
		at = now
	}
	r.Seconds = time.Since(began).Seconds()
	after, err := ownTime()
	if err != nil {
		return r, err
	}
	r.Ops = len(took)
	r.Bytes = bytes * int64(r.Ops)
	r.P50, r.P99 = latencies(took)
	r.PerSecond = per(float64(r.Ops), r.Seconds)
	r.GiBPerS = per(float64(r.Bytes)/gib, r.Seconds)
	r.CPUPerGiB = per((after - before).Seconds(), float64(r.Bytes)/gib)
	return r, nil
}

// floorDirect measures writing chunks past the page cache, each synced.
func (b *bench) floorDirect(dir string) error {
	const chunk = 4 * mib
	name := filepath.Join(dir, "direct")
	f, err := openDirect(name)
	if err != nil {
		b.note("floor: write 4 MiB with O_DIRECT + fdatasync", err)
		return nil
	}
	defer os.Remove(name)
	defer f.Close()
	buffer, free, err := alignedBuffer(chunk)
	if err != nil {
		return err
	}
	copy(buffer, b.content.pool)
	r, err := repeat("floor: write 4 MiB with O_DIRECT + fdatasync", b.short(), chunk, func() error {
		if _, err := f.Write(buffer); err != nil {
			return err
		}
		return syncData(f)
	})
	if err != nil {
		return err
	}
	b.floors.direct = r.CPUPerGiB
	b.add(r)
	return free()
}

// floorRepairDisk measures what the disk under test gives to a repair of so many bytes in shards: for each, so many others are read, at
// once, and one is written, all past the page cache, that many side by side. All nodes of the bench share the disk.
func (b *bench) floorRepairDisk(bytes int64, reads, parallel int) (r row, err error) {
	const shard = 2 * mib
	r = row{Name: "floor: reading and writing on this disk", Clients: parallel, Ops: int(max(bytes/shard, 1))}
	held, err := openDirect(filepath.Join(b.dir, "held"))
	if err != nil {
		return r, err
	}
	defer os.Remove(held.Name())
	defer held.Close()
	made, err := openDirect(filepath.Join(b.dir, "made"))
	if err != nil {
		return r, err
	}
	defer os.Remove(made.Name())
	defer made.Close()
	buffers, free, err := alignedBuffer(parallel * reads * shard)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, free()) }()
	copy(buffers, b.content.pool)
	for i := range r.Ops * reads {
		if _, err := held.WriteAt(buffers[:shard], int64(i)*shard); err != nil {
			return r, err
		}
	}
	if err := syncData(held); err != nil {
		return r, err
	}
	before, err := ownTime()
	if err != nil {
		return r, err
	}
	began := time.Now()
	var g errgroup.Group
	for w := range parallel {
		own := buffers[w*reads*shard:][:reads*shard]
		g.Go(func() error {
			for i := w; i < r.Ops; i += parallel {
				var from errgroup.Group
				for n := range reads {
					from.Go(func() error {
						_, err := held.ReadAt(own[n*shard:][:shard], int64(n*r.Ops+i)*shard)
						return err
					})
				}
				if err := from.Wait(); err != nil {
					return err
				}
				if _, err := made.WriteAt(own[:shard], int64(i)*shard); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := errors.Join(g.Wait(), syncData(made)); err != nil {
		return r, err
	}
	r.Seconds = time.Since(began).Seconds()
	after, err := ownTime()
	r.Bytes = int64(r.Ops) * shard
	r.GiBPerS = per(float64(r.Bytes)/gib, r.Seconds)
	r.CPUPerGiB = per((after - before).Seconds(), float64(r.Bytes)/gib)
	r.Note = fmt.Sprintf("%d bytes read and one written for each that was lost", reads)
	return r, err
}

// records is a file of zeros that consensus records are written to, one after the other,
// each synced: what one proposal at a time cannot beat.
type records struct {
	f      *os.File
	at     int64
	record [recordBytes]byte
}

func newRecords(name string) (*records, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(make([]byte, zeroedBytes)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &records{f: f}, nil
}

// write returns when the next record is on disk.
func (r *records) write() error {
	if _, err := r.f.WriteAt(r.record[:], r.at); err != nil {
		return err
	}
	if r.at += recordBytes; r.at+recordBytes > zeroedBytes {
		r.at = 0
	}
	return syncData(r.f)
}

func (r *records) close() error { return errors.Join(r.f.Close(), os.Remove(r.f.Name())) }
