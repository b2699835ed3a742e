// gemv
