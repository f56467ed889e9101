//! Starts runs as child processes, follows their events, records them in the tracking store.
