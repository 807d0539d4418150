package route

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
)

// shownDamage bounds how many damaged lines of a snapshot are described in the log.
const shownDamage = 10

// Open makes the table of the snapshot at the path, which need not exist yet. Damage is logged and what is readable is used;
// the damaged file is kept beside the snapshot with the ending ".damaged".
func Open(path string, logger *zap.Logger) (*Table, error) {
	journal, err := openJournal(path, logger)
	if err != nil {
		return nil, err
	}
	table, err := load(journal, logger)
	if err != nil {
		_ = journal.close()
		return nil, err
	}
	return table, nil
}

func load(journal *journal, logger *zap.Logger) (*Table, error) {
	found, err := loadSnapshot(journal.path)
	if err != nil {
		return nil, err
	}
	if len(found.damage) > 0 {
		kept := journal.path + ".damaged"
		if err := copyFile(journal.path, kept); err != nil {
			logger.Error("the damaged snapshot could not be kept", zap.Error(err))
		}
		logger.Error("the snapshot is damaged: what is readable is used", zap.String("snapshot.path", journal.path), zap.String("snapshot.kept", kept),
			zap.Int("snapshot.damaged_lines", len(found.damage)), zap.Strings("snapshot.damage", found.damage[:min(shownDamage, len(found.damage))]),
			zap.Int("snapshot.routes", len(found.routes)))
	}
	table := &Table{instances: map[string]*Instance{}, services: map[string]*Service{}, journal: journal, logger: logger, damage: len(found.damage)}
	start := &view{generation: found.generation, entries: make(map[string]*Entry, len(found.routes))}
	entries := make([]*Entry, 0, len(found.routes))
	for host, route := range found.routes {
		entry := &Entry{Route: *route, line: encodeRecord(found.generation, host, route)}
		start.entries[host] = entry
		entries = append(entries, entry)
	}
	if err := journal.rewrite(start); err != nil {
		return nil, fmt.Errorf("the snapshot cannot be written: %w", err)
	}
	table.install(start, nil, entries)
	logger.Info("the route table is loaded", zap.Int("snapshot.routes", len(entries)), zap.Uint64("snapshot.generation", found.generation))
	return table, nil
}

// Close lets go of the snapshot. The routes stay readable for requests that are still under way.
func (t *Table) Close() error {
	t.change.Lock()
	defer t.change.Unlock()
	return t.journal.close()
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
