package tiers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
)

// hotListMagic begins a hot list; a file that begins otherwise is of another version and is ignored.
const hotListMagic = "keepsight hot 1\n"

// maxHotList bounds the list in entries, to 2 MiB: more than a host tier of common size holds.
const maxHotList = 1 << 16

// SaveHot writes which embeddings are in host memory, hottest first, so that a restart can begin with
// them. The file is replaced as a whole; losing it costs warmth, nothing else.
func (s *Store) SaveHot(path string) error {
	ids := s.host.Recency()
	var b bytes.Buffer
	b.WriteString(hotListMagic)
	for _, id := range ids[:min(len(ids), maxHotList)] {
		b.Write(id[:])
	}
	if err := os.WriteFile(path+".new", b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write hot list: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("replace hot list: %w", err)
	}
	return nil
}

// WarmFrom begins to read what SaveHot listed from disk into host memory, in the background, one
// embedding at a time so that it takes a fraction of the disk, and until the host tier would have to
// evict. A list that cannot be read is an error and nothing is read.
func (s *Store) WarmFrom(path string) error {
	ids, err := readHotList(path)
	if err != nil {
		return err
	}
	if s.disk != nil && len(ids) > 0 {
		s.background(func(ctx context.Context) { s.warm(ctx, ids) })
	}
	return nil
}

func readHotList(path string) ([]ID, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open hot list: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(len(hotListMagic)+maxHotList*len(ID{}))))
	if err != nil {
		return nil, fmt.Errorf("read hot list: %w", err)
	}
	list, found := bytes.CutPrefix(data, []byte(hotListMagic))
	if !found {
		return nil, fmt.Errorf("%w: not a hot list of this version", ErrInvalid)
	}
	ids := make([]ID, len(list)/len(ID{}))
	for i := range ids {
		copy(ids[i][:], list[i*len(ID{}):])
	}
	return ids, nil
}

// warm reads hottest first: who comes during the warming finds those. They are also the oldest in the
// host tier then, but what is hot is used again before room runs out, and used entries stay.
func (s *Store) warm(ctx context.Context, ids []ID) {
	room := s.warmRoom()
	for _, id := range ids {
		if ctx.Err() != nil {
			return
		}
		_, meta, err := s.disk.Stat(ctx, id)
		if err != nil {
			continue
		}
		if room -= meta.Size; room < 0 {
			return
		}
		if e, err := s.fetchFromDisk(ctx, id); err == nil {
			e.Release()
		}
	}
}

// warmRoom leaves a quarter of the host tier to traffic that arrives while it warms.
func (s *Store) warmRoom() int64 {
	st := s.host.Stats()
	return (st.CapacityBytes - st.UsedBytes) * 3 / 4
}
