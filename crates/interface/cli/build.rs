//! Builds the program anew when the configuration tree inside it changes.

fn main() {
    println!("cargo:rerun-if-changed=../../../config");
}
