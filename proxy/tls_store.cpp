#include "proxy/tls_store.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

namespace proxy {

namespace {

// A store by file name hash, as c_rehash makes it: 5ed36f99.0.
std::size_t hashed_in(const std::string& folder) {
  std::size_t count = 0;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string extension = it->path().extension().string();
    const std::string stem = it->path().stem().string();
    if (stem.size() == 8 && extension.size() > 1 &&
        extension.find_first_not_of("0123456789", 1) == std::string::npos) {
      ++count;
    }
  }
  return count;
}

std::string from_variable(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

std::size_t authorities_of(X509_STORE* store) {
  std::size_t count = 0;
  const STACK_OF(X509_OBJECT)* const objects = X509_STORE_get0_objects(store);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) == X509_LU_X509) ++count;
  }
  return count;
}

}  // namespace

base::Result<TrustStore, base::Error> trust_store(const std::string& ca_file) {
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(),
                                                                      X509_STORE_free);
  if (!store) throw std::bad_alloc();
  ERR_clear_error();
  if (!ca_file.empty()) {
    if (X509_STORE_load_file(store.get(), ca_file.c_str()) != 1) {
      ERR_clear_error();
      return base::fail(ca_file + ": no certificates can be read from it");
    }
    return TrustStore{ca_file, authorities_of(store.get())};
  }
  const std::string file =
      from_variable(X509_get_default_cert_file_env(), X509_get_default_cert_file());
  const std::string folder =
      from_variable(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
  std::size_t count = hashed_in(folder);
  if (X509_STORE_load_file(store.get(), file.c_str()) == 1) {
    count = std::max(count, authorities_of(store.get()));
  }
  ERR_clear_error();
  return TrustStore{folder, count};
}

}  // namespace proxy
