//! What the standard library lacks: atomic files, near names, ids, random numbers by address.
