package tiers

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzHotList: whatever the file holds, reading it gives whole ids or an error.
func FuzzHotList(f *testing.F) {
	f.Add([]byte(hotListMagic))
	f.Add(append([]byte(hotListMagic), make([]byte, 64)...))
	f.Add([]byte("keepsight hot 2\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "hot.list")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		ids, err := readHotList(path)
		if err == nil && len(ids) != (len(content)-len(hotListMagic))/len(ID{}) && len(ids) != maxHotList {
			t.Errorf("%d bytes gave %d ids", len(content), len(ids))
		}
	})
}
