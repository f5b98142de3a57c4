//! Gives the C library its name, which programs linked with it look for, and lets it stay loaded: a lane may still be
//! ending when a host unloads it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libpipelane.so.0");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
