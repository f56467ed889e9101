//! How urgent a thread is.

/// So much less urgent than the others: it gets about a tenth of a core that somebody else wants whole, and all of one that
/// nobody wants.
const NICENESS: i32 = 10;

/// Makes the calling thread step back where others want its core, as one that works beside training should.
pub fn lower() {
    // On Linux this is about the calling thread alone, see setpriority(2). Where it may not be changed, it stays as it is.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}
